/**
 * Start. Turns on Node's compile cache and hands over to main.ts. Plain JavaScript on purpose: a program that begins in TypeScript loads
 * Node's type stripper at every start, which costs a fifth of a topping service's start; from here on stripped code comes from the cache.
 */
import { enableCompileCache } from 'node:module'

enableCompileCache()
await import('./main.ts')
