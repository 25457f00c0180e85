/** Processes. CPU time and memory of running processes, from /proc; on systems without it every figure is missing. */
import { readFileSync } from 'node:fs'

/** Process ids by the name the report gives them. */
export type Pids = Readonly<Record<string, number>>

/** A tick of /proc is 10 ms on every Linux that Node runs on (USER_HZ is part of the kernel's interface). */
const ticksPerSecond = 100

/** CPU seconds (user and system, all threads) by name since each process began. */
export function readCpuSeconds(pids: Pids): Record<string, number> {
  return byName(pids, (pid) => {
    // The second field is the program's name in brackets and may hold blanks: count from behind it.
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)!.split(' ')
    return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
  })
}

/** Resident memory in MB by name: what it is at present, or the highest it has been. */
export function readMemoryMb(pids: Pids, which: 'now' | 'peak'): Record<string, number> {
  const field = which === 'now' ? /^VmRSS:\s+(\d+)/m : /^VmHWM:\s+(\d+)/m
  return byName(pids, (pid) =>
    Math.round(Number(field.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))![1]) / 1_024),
  )
}

/** CPU seconds that the whole machine has spent on anything but idling. */
export function readMachineCpuSeconds(): number | undefined {
  try {
    const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = readFileSync('/proc/stat', 'latin1')
      .split('\n', 1)[0]!
      .split(/\s+/)
      .slice(1)
      .map(Number)
    return (user + nice + system + irq + softirq + steal) / ticksPerSecond
  } catch {
    return undefined
  }
}

function byName(pids: Pids, read: (pid: number) => number): Record<string, number> {
  const figures: Record<string, number> = {}
  for (const [name, pid] of Object.entries(pids)) {
    try {
      figures[name] = read(pid)
    } catch {
      // No /proc, or the process has ended: the figure is missing.
    }
  }
  return figures
}
