import { describe, expect, it } from 'vitest'
import { readFiles } from '../../scripts/check/files.ts'
import { findImportViolations } from '../../scripts/check/import-rules.ts'

/** A made-up module under src/. */
const violations = (path: string, ...lines: string[]) => findImportViolations([{ path, text: lines.join('\n') }])

describe('The program', () => {
  const files = readFiles(['src'])

  it('has modules to look at', () => {
    expect(files.map(({ path }) => path)).toContain('src/log/event-log.ts')
  })

  it('imports in one direction only', () => {
    expect(findImportViolations(files)).toEqual([])
  })
})

describe('The rule', () => {
  it.each([
    ['src/machines/pizza.machine.ts', '../actors/order-host.ts', 'machines may not import actors'],
    ['src/actors/order-host.ts', '../http/app.ts', 'actors may not import http'],
    ['src/actors/order-host.ts', '../log/sqlite-log.ts', 'actors may not import adapters'],
    ['src/http/app.ts', '../log/kafka-log.ts', 'http may not import adapters'],
    ['src/log/sqlite-log.ts', '../records.ts', 'adapters may not import records'],
    ['src/menu.ts', './records.ts', 'menu may not import records'],
    ['src/actors/order-host.ts', '../main.ts', 'actors may not import main'],
    ['src/actors/order-host.ts', '../shop.ts', 'actors may not import main'],
    ['src/actors/order-host.ts', '../../test/support.ts', 'test/support.ts, which is not part of the program'],
  ])('refuses that %s imports %s', (path, target, message) => {
    expect(violations(path, '', `import { x } from '${target}'`)).toEqual([expect.stringContaining(message)])
  })

  it.each([
    ['src/actors/order-host.ts', 'kafkajs'],
    ['src/log/sqlite-log.ts', 'kafkajs'],
    ['src/http/app.ts', 'node:sqlite'],
    ['src/actors/order-host.ts', 'node:sqlite'],
    ['src/config.ts', 'node:process'],
    ['src/config.ts', 'process'],
    ['src/actors/role.ts', 'express'],
    ['src/machines/order.machine.ts', 'node:crypto'],
    ['src/machines/order.machine.ts', 'pino'],
    ['src/machines/order.machine.ts', '@scope/clock/now'],
    ['src/log/event-log.ts', 'pino'],
  ])('refuses that %s imports %s', (path, name) => {
    expect(violations(path, `import { x } from '${name}'`)).toEqual([expect.stringMatching(`^${path}:1: `)])
  })

  it.each([
    ['src/main.ts', './log/kafka-log.ts'],
    ['src/main.ts', '../package.json'],
    ['src/shop.ts', './log/kafka-log.ts'],
    ['src/log/kafka-log.ts', 'kafkajs'],
    ['src/log/sqlite-log.ts', 'node:sqlite'],
    ['src/actors/order-store.ts', 'node:sqlite'],
    ['src/actors/order-host.ts', '../log/event-log.ts'],
    ['src/actors/order-host.ts', '../machines/order.machine.ts'],
    ['src/inspect/page.ts', 'express'],
    ['src/machines/order.machine.ts', 'xstate'],
  ])('allows that %s imports %s', (path, target) => {
    expect(violations(path, `import { x } from '${target}'`)).toEqual([])
  })

  it.each([
    `import type { Kafka } from 'kafkajs'`,
    `export { Kafka } from 'kafkajs'`,
    `export * from 'kafkajs'`,
    `const { Kafka } = await import('kafkajs')`,
  ])('sees through the form of %s', (line) => {
    expect(violations('src/actors/role.ts', '// first', line)).toEqual([
      expect.stringMatching(/^src\/actors\/role.ts:2: /),
    ])
  })

  it.each([
    'const at = Date.now()',
    'const at = new Date(0)',
    'const pick = Math.random()',
    'const act = async () => {}',
    'await 1',
    'setTimeout(() => {}, 1)',
    'const { env } = globalThis.process',
    'console.log(1)',
  ])('keeps the machines pure: refuses %s', (line) => {
    expect(violations('src/machines/order.machine.ts', line)).not.toEqual([])
  })

  it.each([
    'process.env',
    'const { env } = process',
    'const all = { process }',
    'const it = globalThis.process',
    'run(process)',
    'const at = x[process.pid]',
  ])('keeps the process in main: refuses %s', (line) => {
    expect(violations('src/actors/role.ts', line)).toEqual([
      expect.stringContaining('only src/main.ts touches process'),
    ])
    expect(violations('src/main.ts', line)).toEqual([])
  })

  it('does not take the word for the global', () => {
    const text = ['const a = { process: 1, Date: 2 }', 'a.process', 'interface B { process(): void; at: Date }']
    expect(violations('src/machines/order.machine.ts', ...text)).toEqual([])
  })

  it('refuses a module that has no layer', () => {
    expect(violations('src/helpers/misc.ts', 'export const x = 1')).toEqual([expect.stringContaining('has no layer')])
  })
})
