void f(void)
{
	g(clock_mono());
}
