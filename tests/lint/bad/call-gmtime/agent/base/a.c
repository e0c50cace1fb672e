void f(void)
{
	(void)gmtime(a, b);
}
