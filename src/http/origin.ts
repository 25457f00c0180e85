/**
 * Origin. Who may change something from a browser. Programs are not asked: a browser names itself by headers that no script can
 * set, and it alone can be made to send what its user did not mean.
 *
 * R1: a changing request of a browser comes from this very page, or is refused (Fetch Metadata; Origin for older browsers).
 * R2: on loopback the page's own name must be loopback too: another site's name may have been pointed here (DNS rebinding).
 * R3: what only the page does (stop and start roles) needs loopback or the token, whoever asks.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { ProblemError } from './problem.ts'

/** `open`: the server listens on loopback. `token`: the token is asked for. `off`: browsers may only look. */
export type ControlMode = 'open' | 'token' | 'off'

export interface Guard {
  readonly mode: ControlMode
  /** For calls of the API that change something: programs pass. @throws ProblemError. */
  checkApi(req: IncomingMessage): void
  /** For calls that only the page makes. @throws ProblemError. */
  checkControl(req: IncomingMessage): void
  /** For what only looks and is not held back by browsers: WebSockets. @throws ProblemError `cross-origin`. */
  checkOrigin(req: IncomingMessage): void
}

/** Creates the guard of a server that listens on `host`. */
export function createGuard({ host, token = '' }: { host: string; token?: string }): Guard {
  const isLocal = isLoopback(host)
  const mode = modeOf(isLocal, token)

  const checkControl = (req: IncomingMessage): void => {
    checkSameOrigin(req, isLocal)
    if (mode === 'off') {
      throw new ProblemError(
        'read-only',
        'The shop listens on the network, so the page may change nothing: set PIZZA_PAGE_TOKEN, or listen on 127.0.0.1.',
      )
    }
    if (mode === 'token' && !isToken(req.headers.authorization, token)) {
      throw new ProblemError('token-needed', 'Send the token of this shop as `Authorization: Bearer …`.', {
        'www-authenticate': 'Bearer',
      })
    }
  }
  return {
    mode,
    checkControl,
    checkOrigin: (req) => checkSameOrigin(req, isLocal),
    checkApi(req) {
      if (isFromBrowser(req)) checkControl(req)
    },
  }
}

/** Whether an address or a name can only be this machine. */
function isLoopback(host: string): boolean {
  return /^(?:localhost|.+\.localhost|127(?:\.\d{1,3}){3}|\[?::1\]?)$/i.test(host)
}

function modeOf(isLocal: boolean, token: string): ControlMode {
  if (token !== '') return 'token'
  return isLocal ? 'open' : 'off'
}

function isFromBrowser({ headers }: IncomingMessage): boolean {
  return headers['sec-fetch-site'] !== undefined || headers.origin !== undefined
}

function checkSameOrigin({ headers }: IncomingMessage, isLocal: boolean): void {
  const { origin, host = '' } = headers
  const site = headers['sec-fetch-site']
  const isSame =
    site === undefined ? origin === undefined || hostOf(origin) === host : site === 'same-origin' || site === 'none'
  if (isSame && (!isLocal || isLoopback(host.replace(/:\d+$/, '')))) return
  throw new ProblemError('cross-origin', 'Another site sent this; only the page of this shop may.')
}

function hostOf(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined
}

/** Compares hashes: their length says nothing, and equal ones take as long as others. */
function isToken(header: string | undefined, token: string): boolean {
  const hash = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(hash(header ?? ''), hash(`Bearer ${token}`))
}
