void f(void)
{
	log_warn("x");
}
