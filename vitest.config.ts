import { defineConfig } from 'vitest/config'
import { createClosingReporter } from './scripts/closing-reporter.ts'

/** These start brokers, browsers or whole shops: they run alone, after the others, so that nobody measures their load. */
const heavy = [
  'kafka/**/*',
  'chaos/**/*',
  'foreign/**/*',
  'browser/**/*',
  'model/program',
  'fuzz/http',
  'shop*',
  'dead-letters-command',
].map((part) => `test/${part}.test.ts`)

export default defineConfig({
  test: {
    environment: 'node',
    pool: 'forks',
    reporters: ['default', createClosingReporter()],
    projects: [
      {
        extends: true,
        test: {
          name: 'quick',
          include: ['test/**/*.test.ts'],
          exclude: heavy,
          maxWorkers: 2,
          testTimeout: 10_000,
          hookTimeout: 10_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'heavy',
          include: heavy,
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
})
