void f(void)
{
	(void)strcat(a, b);
}
