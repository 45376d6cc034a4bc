-- Few repositories are marked as test, and every plan reads which.
CREATE INDEX repository_categories_marked_index ON public.repository_categories (repository_id)
WHERE marked_as_test;
