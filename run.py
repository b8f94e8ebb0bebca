"""Trains and evaluates classifiers under label noise: `python run.py --help`.

It is the command `grjax`, of a checkout that need not be installed; grjax/cli.py has what it does.
"""

from grjax import cli

if __name__ == "__main__":
    cli.main()
