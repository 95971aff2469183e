"""{{ cookiecutter.title }}: the parts that are this study's own."""
