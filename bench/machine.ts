/** Machine. What the figures depend on beside the code: processor, versions, and how long the disk takes to make a write safe. */
import { closeSync, fsyncSync, openSync, readFileSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { arch, availableParallelism, cpus, loadavg, platform, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { kafkaVersion } from '../scripts/kafka-jars.ts'
import { createSamples } from './samples.ts'

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGb: number
  readonly os: string
  /** Of the last minute, before anything was started: other work makes the figures worse. */
  readonly loadAverage: number
  readonly fsyncMs: { readonly p50: number; readonly p99: number }
  /** In memory an fsync costs nothing: the embedded log's figures then mean nothing. */
  readonly dataInMemory: boolean
  readonly node: string
  readonly kafka: string
  readonly packages: Readonly<Record<string, string>>
}

const tmpfs = 0x01021994
const fsyncs = 200
const packages = ['xstate', 'kafkajs', 'express', 'zod']

export function describeMachine(dataIn: string): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 2 ** 30),
    os: `${platform()} ${release()} ${arch()}`,
    loadAverage: loadavg()[0]!,
    fsyncMs: measureFsync(dataIn),
    dataInMemory: statfsSync(dataIn).type === tmpfs,
    node: process.version,
    kafka: kafkaVersion,
    packages: Object.fromEntries(packages.map((name) => [name, readVersion(name)])),
  }
}

function measureFsync(dir: string): { p50: number; p99: number } {
  const path = join(dir, `pizza-bench-fsync-${process.pid}`)
  const file = openSync(path, 'w')
  const page = Buffer.alloc(4_096)
  const samples = createSamples()
  for (let i = 0; i < fsyncs; i++) {
    writeSync(file, page)
    const startedAt = performance.now()
    fsyncSync(file)
    samples.add(performance.now() - startedAt)
  }
  closeSync(file)
  rmSync(path)
  const { p50, p99 } = samples.percentiles()
  return { p50, p99 }
}

function readVersion(name: string): string {
  const path = new URL(`../node_modules/${name}/package.json`, import.meta.url)
  return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version
}
