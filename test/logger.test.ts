import { expect, test } from 'vitest'
import { createLogger, type LoggerOptions } from '../src/logger.ts'

async function logged(options: Partial<LoggerOptions>, ...entry: [object, string]): Promise<string> {
  let text = ''
  const destination = { write: (line: string) => void (text += line) }
  const logger = await createLogger({ level: 'info', format: 'json', ...options, destination })
  logger.debug({}, 'below the level')
  logger.warn(...entry)
  return text
}

test('A log line for machines is one JSON object with time, level and what was said', async () => {
  const line = await logged({}, { topic: 'pizza' }, 'said')
  expect(JSON.parse(line)).toEqual({ level: 40, time: expect.stringMatching(/^20.*Z$/), topic: 'pizza', msg: 'said' })
  expect(line).toMatch(/^[^\n]+\n$/)
})

test.each(['json', 'pretty'] as const)('A secret does not show in a %s line', async (format) => {
  const connection = { brokers: ['a:1'], sasl: { username: 'ada', password: 'S3CRET' } }
  const entry = {
    connection,
    password: 'S3CRET',
    config: { log: { password: 'S3CRET' } },
    request: { headers: { cookie: 'S3CRET' } },
  }
  const line = await logged({ format }, entry, 'said')
  expect(line).toContain('a:1')
  expect(line).not.toContain('S3CRET')
})
