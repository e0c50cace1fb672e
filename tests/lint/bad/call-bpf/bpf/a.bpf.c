int f(void)
{
	return sprintf(a, b);
}
