void f(void)
{
	(void)sprintf(a, b);
}
