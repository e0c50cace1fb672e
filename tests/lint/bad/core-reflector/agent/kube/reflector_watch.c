void f(void)
{
	g(clock_wall());
}
