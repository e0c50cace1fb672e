void f(void)
{
	(void)strtok(a, b);
}
