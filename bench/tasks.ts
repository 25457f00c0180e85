/** Tasks. What the benchmark asks of the load generator, and what comes back: plain JSON between two processes. */
import type { Pids } from './processes.ts'
import type { Percentiles } from './samples.ts'

/** How a client learns that its order is ready: a GET that holds its answer, or a GET every so often. */
export type Watch = { readonly kind: 'wait' } | { readonly kind: 'poll'; readonly everyMs: number }

export interface LoadTask {
  readonly kind: 'load'
  /** Every instance that takes orders. */
  readonly urls: readonly string[]
  readonly clients: number
  /** Pizzas in each order. */
  readonly count: number
  readonly watch: Watch
  /** Orders that are ready before this many seconds are not measured. */
  readonly warmUpS: number
  readonly until: { readonly seconds: number } | { readonly orders: number } | 'connection lost'
  /** Whose CPU time to read when measuring begins and ends. */
  readonly pids: Pids
}

export interface RecoverTask {
  readonly kind: 'recover'
  readonly url: string
}

export interface VerifyTask {
  readonly kind: 'verify'
  readonly url: string
  readonly reportUrl: string
  /** Orders that were put on the log beside the load generator. */
  readonly filled: number
}

export type Task = LoadTask | RecoverTask | VerifyTask

export interface LoadResult {
  readonly seconds: number
  readonly orders: number
  readonly ordersPerSecond: number
  readonly pizzasPerSecond: number
  /** From the request to the answer. */
  readonly postMs: Percentiles
  /** From the POST's request to the first answer that shows the order ready. */
  readonly readyMs: Percentiles
  readonly requests: number
  readonly generatorCpuUsPerRequest: number
  readonly cpuSeconds: Readonly<Record<string, number>>
  /** CPU time of everything else on the machine, as a share of all its cores; absent without /proc. */
  readonly otherCpuShare?: number
  /** Orders answered with 201 and not seen ready when the load ended. */
  readonly open: number
}

export interface RecoverResult {
  /** process.hrtime in milliseconds: the same clock in every process of the machine. */
  readonly firstAnswerAtMs: number
  readonly allReadyAtMs: number
  readonly open: number
}

export interface VerifyResult {
  readonly orders: number
  readonly pizzas: number
  /** Orders that exist though their POST was never answered, because the connection was lost. */
  readonly unanswered: number
  readonly problems: readonly string[]
}

export interface Results {
  readonly load: LoadResult
  readonly recover: RecoverResult
  readonly verify: VerifyResult
}

export type Message =
  | { readonly kind: 'progress'; readonly orders: number }
  | { readonly kind: 'result'; readonly result: Results[keyof Results] }
  | { readonly kind: 'failed'; readonly message: string }

/** Milliseconds of a clock that all processes of the machine share. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
