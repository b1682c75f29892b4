"""A library loan: its facts are the source of truth, its state is read straight from them."""

from __future__ import annotations

from goldseam import Aggregate, event


@event(name="library.BookLent")
class BookLent:
    """Somebody took a book home."""

    book: str
    reader: str
    days: int


@event(name="library.LoanExtended")
class LoanExtended:
    """It may stay there longer."""

    days: int


@event(name="library.BookReturned")
class BookReturned:
    """It is back."""

    on_day: int


class Loan(Aggregate):
    """One loan of one book."""

    book: str = ""
    reader: str = ""
    days: int = 0
    extensions: int = 0
    is_returned: bool = False

    def lend(self, book: str, reader: str, days: int) -> None:
        """Give the book out."""
        if self.book:
            raise ValueError(f"{self.book} is lent already")
        self.record(BookLent(book, reader, days))

    def extend(self, days: int) -> None:
        """Let it stay longer, twice at most."""
        if self.is_returned or self.extensions >= 2:
            raise ValueError("this loan cannot be extended")
        self.record(LoanExtended(days))

    def give_back(self, on_day: int) -> None:
        """Take the book in again."""
        if self.is_returned:
            raise ValueError("it is back already")
        self.record(BookReturned(on_day))

    def evolve(self, fact: object) -> None:
        """Take one fact in."""
        match fact:
            case BookLent(book=book, reader=reader, days=days):
                self.book, self.reader, self.days = book, reader, days
            case LoanExtended(days=days):
                self.days, self.extensions = self.days + days, self.extensions + 1
            case BookReturned():
                self.is_returned = True
