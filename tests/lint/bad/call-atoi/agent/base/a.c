void f(void)
{
	(void)atoi(a, b);
}
