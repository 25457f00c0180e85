import { expect, test } from 'vitest'
import { StoreUnusableError } from '../src/actors/state-store.ts'
import { parseConfig, type Config } from '../src/config.ts'
import { ListenError } from '../src/http/listen.ts'
import { LogError } from '../src/log/event-log.ts'
import { explain } from '../src/start-errors.ts'

function configure(...argv: string[]): Config {
  const parsed = parseConfig({ argv, env: {}, readFile: () => 'bootstrap.servers=broker:9092', version: '' })
  if (parsed.kind !== 'start') throw new Error('Expected a configuration')
  return parsed.config
}

const embedded = configure('--data', 'd')
const kafka = configure('--config', 'f')
const withDetails = (message: string, details: object) => Object.assign(new Error(message), details)

test.each([
  ['a port that is taken', embedded, new ListenError('port-taken', 'Taken.'), 'portTaken', /^Taken\.$/],
  ['a port that is refused', embedded, new ListenError('port-forbidden', 'No.'), 'usage', /^No\.$/],
  ['an address that is none', embedded, new ListenError('bad-host', 'No.'), 'usage', /^No\.$/],
  [
    'brokers that are away',
    kafka,
    new LogError('unavailable', 'Cannot connect'),
    'logUnavailable',
    /^Cannot connect\. .*broker:9092/,
  ],
  [
    'a log file that is broken',
    embedded,
    new LogError('unavailable', 'Broken.'),
    'logUnavailable',
    /^Broken\. Check the disk .* d\.$/,
  ],
  [
    'a login that is refused',
    kafka,
    new LogError('authentication', 'Refused'),
    'logUnavailable',
    /PIZZA_SASL_PASSWORD/,
  ],
  [
    'another partition count',
    kafka,
    new LogError('partition-count', 'Has 3'),
    'usage',
    /--partitions .* --topic-prefix/,
  ],
  ['a folder in use', embedded, withDetails('Used', { code: 'data-in-use' }), 'dataInUse', /^Used\. .*--data\.$/],
  [
    'a store that is damaged',
    embedded,
    new StoreUnusableError('d/orders.sqlite', 'it is damaged. Delete it.'),
    'storeUnusable',
    /^Cannot use the state store d\/orders\.sqlite: .* Delete it\.$/,
  ],
  ['no stores', embedded, withDetails('Empty.', { code: 'nothing-to-verify' }), 'usage', /^Empty\.$/],
  ['no orders', embedded, withDetails('Empty.', { code: 'nothing-to-rehearse' }), 'usage', /^Empty\.$/],
  ['no candidate', embedded, withDetails('None.', { code: 'bad-candidate' }), 'usage', /^None\.$/],
  [
    'a folder that is read only',
    embedded,
    withDetails('EROFS: read-only', { code: 'EROFS' }),
    'dataNotWritable',
    /folder d: .*--data\.$/,
  ],
  [
    'a disk that is full',
    embedded,
    withDetails('database or disk is full', { code: 'ERR_SQLITE_ERROR', errcode: 13 }),
    'dataNotWritable',
    /--data\.$/,
  ],
  [
    'a cause below',
    embedded,
    new Error('Outer', { cause: withDetails('Inner', { code: 'ENOSPC' }) }),
    'dataNotWritable',
    /Inner/,
  ],
] as const)('A start that fails for %s is explained', (_, config, error, exit, message) => {
  expect(explain(error, config)).toEqual({ exit, message: expect.stringMatching(message) })
})

test('An error that nobody expected is not explained', () => {
  expect(explain(new TypeError('x is not a function'), embedded)).toBeUndefined()
  expect(explain(new LogError('fenced', 'x'), embedded)).toBeUndefined()
  expect(explain('thrown text', embedded)).toBeUndefined()
})
