void f(void)
{
	log_info("x");
}
