/**
 * Keys and their hashes as the Java client 4.1.0 computes them, printed by its own Utils.murmur2. The partition is the
 * hash without its sign bit, modulo the partition count (BuiltInPartitioner.partitionForKey).
 */
export const placementVectors: readonly { readonly key: string; readonly hash: number }[] = [
  { key: '', hash: 275646681 },
  { key: 'a', hash: -1563381124 },
  { key: 'ab', hash: 316155434 },
  { key: 'abc', hash: 479470107 },
  { key: 'abcd', hash: -1323649548 },
  { key: 'abcde', hash: 461995741 },
  { key: '21', hash: -973932308 },
  { key: 'foobar', hash: -790332482 },
  { key: 'a-little-bit-long-string', hash: -985981536 },
  { key: 'a-little-bit-longer-string', hash: -1486304829 },
  { key: 'lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', hash: -58897971 },
  { key: '1', hash: -1993445489 },
  { key: '2110011001100110011001100110011001101', hash: -1442851679 },
  { key: 'käse', hash: -1070276755 },
  { key: '🍕', hash: 1236302697 },
  { key: 'order 19', hash: 1952662745 },
]
