"""The pages where a person sees their credit and usage."""
