"""What people read and print: sheets and forms, drawn from plain values."""
