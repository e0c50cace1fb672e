
void f(void)
{
	log_warn("a secret: %s", text);
}
