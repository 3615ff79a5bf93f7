"""Message-queue adapter: commands in, official exchanges out, answers and errors back."""
