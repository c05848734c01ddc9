"""The filter language: `language` parses it, `sql` and `index` turn its terms into SQL for the views and for the index."""
