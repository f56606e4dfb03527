"""`python -m deploy …` is `mynah …`, for where the console script is not on the path."""

from deploy.cli import main

main()
