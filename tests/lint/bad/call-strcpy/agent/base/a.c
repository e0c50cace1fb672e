void f(void)
{
	(void)strcpy(a, b);
}
