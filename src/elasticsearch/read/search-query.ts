/**
 * For every search: an index that is not there counts as empty. A shard that does not answer is a
 * failure, never a smaller count.
 */
export const searchQuery = {
  ignore_unavailable: 'true',
  allow_no_indices: 'true',
  allow_partial_search_results: 'false',
}
