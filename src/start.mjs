/**
 * Start. Turns on Node's compile cache and hands over to main.ts. Plain JavaScript on purpose: a program that begins in TypeScript loads
 * Node's type stripper at every start, which costs a fifth of a topping service's start; from here on stripped code comes from the cache.
 */
import { enableCompileCache } from 'node:module'
import { setFlagsFromString } from 'node:v8'

enableCompileCache()
// Collect garbage when the heap has grown by half. By itself V8 lets it grow fourfold on a machine with much memory (bench/README.md, Memory).
setFlagsFromString('--heap-growing-percent=50')
await import('./main.ts')
