/** HTTP client for tests: node:http with connections that are kept, and no retries of its own. */
import { Agent, request } from 'node:http'

export interface Answer {
  readonly status: number
  readonly headers: NodeJS.Dict<string | string[]>
  readonly text: string
}

export interface HttpClient {
  /** Rejects when no whole answer came: whether the server did what was asked is then unknown. */
  get(url: string, headers?: Record<string, string>, timeoutMs?: number): Promise<Answer>
  post(url: string, headers?: Record<string, string>): Promise<Answer>
  close(): void
}

/** Longest wait for an answer: above every wait that tests ask for, below the patience of a test run. */
const answerMsMax = 45_000

/** Creates a client. */
export function createHttpClient(): HttpClient {
  const agent = new Agent({ keepAlive: true, maxSockets: 256 })
  const ask = (
    method: string,
    url: string,
    headers: Record<string, string> = {},
    timeoutMs = answerMsMax,
  ): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const asking = request(url, { method, agent, headers, signal: AbortSignal.timeout(timeoutMs) }, (res) => {
        let text = ''
        res.setEncoding('utf8')
        res.on('data', (chunk: string) => (text += chunk))
        res.once('end', () => resolve({ status: res.statusCode!, headers: res.headers, text }))
        res.once('error', reject)
      })
      asking.once('error', reject)
      asking.end()
    })
  return {
    get: (url, headers, timeoutMs) => ask('GET', url, headers, timeoutMs),
    post: (url, headers) => ask('POST', url, headers),
    close: () => agent.destroy(),
  }
}
