"""`python -m hcs.cli`: the same as `hcs`, where the script is not on the path."""

from hcs.cli.main import main

if __name__ == "__main__":
    main()
