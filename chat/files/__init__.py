"""Files that people attach to messages: uploading, checking, storing, serving, erasing."""
