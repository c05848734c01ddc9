"""The screens: Conversations, Conversation, Span, Runs, Diff list, Diff."""
