"""`python -m runtime` is `citybrain`."""

from runtime.cli import main

if __name__ == "__main__":
    main()
