void f(void)
{
	t = clock_mono();
}
