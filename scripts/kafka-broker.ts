/**
 * A real Apache Kafka broker as a child process, for tests, benchmarks and people without Docker. Owns the process and the files in its
 * folder.
 *
 * B1: `startBroker` resolves when the broker answers, told by its own log line, or rejects with the end of its log.
 * B2: the broker never outlives the process that started it, whatever ends that one: a shell between the two holds the read end
 *     of a pipe and kills the broker when the pipe closes.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { brokerPaths, scramArguments, writeBrokerFiles, type BrokerPorts, type BrokerUser } from './kafka-config.ts'
import { bringKafkaJars } from './kafka-jars.ts'

const run = promisify(execFile)

export interface BrokerOptions {
  /** Folder for configuration and data; created when missing, and kept by `stop`. */
  readonly dir: string
  /** Port of the plain listener; 0 (the default) takes a free one. */
  readonly port?: number
  /** Users for SASL. Adds the listeners `sasl`, `tls` and `saslTls`; the folder must be fresh. */
  readonly users?: readonly BrokerUser[]
  /** Further broker properties, as in server.properties. */
  readonly properties?: Readonly<Record<string, string>>
  readonly onDownload?: (folder: string) => void
}

export interface Broker {
  /** `host:port` of the plain listener, the same across restarts. */
  readonly bootstrapServers: string
  /** `host:port` by listener. Only `plaintext` listens without `users`. */
  readonly listeners: Readonly<Record<'plaintext' | 'sasl' | 'tls' | 'saslTls', string>>
  /** PEM file of the certificate that the TLS listeners show. */
  readonly certificatePath: string
  /** Process id of the Java process; undefined while it is down. */
  readonly pid: number | undefined
  /** Resolves when the running process has ended, with the end of its log. */
  exited(): Promise<string>
  /** Ends it in good order (SIGTERM). Safe to call twice. */
  stop(): Promise<void>
  /** Ends it at once (SIGKILL), as a crash does. Safe to call twice. */
  kill(): Promise<void>
  /** Stops it if it runs, then starts it again on the same ports and data. */
  restart(): Promise<void>
}

/**
 * Starts a broker; brings Kafka's jars by Maven the first time.
 * @throws Error that says what to install, that the port is taken, or shows the end of the broker's log.
 */
export async function startBroker(options: BrokerOptions): Promise<Broker> {
  const dir = resolve(options.dir)
  const classPath = await bringKafkaJars(options.onDownload)
  await mkdir(dir, { recursive: true })
  const ports = await choosePorts(options.port ?? 0)
  await writeBrokerFiles({ dir, ports, users: options.users, properties: options.properties })
  await format(dir, classPath, options.users ?? [])
  let current = await launch(dir, classPath)
  const end = async (signal: NodeJS.Signals) => {
    current.signal(signal)
    await current.exited
  }
  const at = (port: number) => `127.0.0.1:${port}`
  return {
    bootstrapServers: at(ports.plaintext),
    listeners: {
      plaintext: at(ports.plaintext),
      sasl: at(ports.sasl),
      tls: at(ports.tls),
      saslTls: at(ports.saslTls),
    },
    certificatePath: brokerPaths(dir).certificate,
    get pid() {
      return current.pid()
    },
    exited: () => current.exited,
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    restart: async () => {
      await end('SIGTERM')
      current = await launch(dir, classPath)
    },
  }
}

interface RunningBroker {
  pid(): number | undefined
  signal(signal: NodeJS.Signals): void
  readonly exited: Promise<string>
}

// Started by `sh -c`: prints the broker's pid, and kills the broker when standard input ends (B2).
const guard = `
exec 3<&0
"$@" </dev/null 3<&- & broker=$!
echo "pid $broker"
( while read -r _; do :; done; kill -9 $broker ) <&3 >/dev/null 2>&1 & watch=$!
exec 3<&-
wait $broker
kill $watch
`

async function launch(dir: string, classPath: string): Promise<RunningBroker> {
  const paths = brokerPaths(dir)
  // The serial collector starts fastest and costs least on few cores with a small heap. The optimising compiler stays on:
  // benchmarks run against this broker.
  const java = ['java', '-Xms256m', '-Xmx512m', '-XX:+UseSerialGC', '-cp', classPath]
  java.push(`-Dlog4j2.configurationFile=${paths.logging}`, 'kafka.Kafka', paths.properties)
  // Detached, so that Ctrl-C in a terminal reaches this process alone, which then stops the broker in good order.
  const child = spawn('sh', ['-c', guard, 'kafka', ...java], { stdio: ['pipe', 'pipe', 'pipe'], detached: true })
  const tail: string[] = []
  let javaPid: number | undefined
  const exited = once(child, 'close').then(() => {
    javaPid = undefined
    return tail.join('\n')
  })
  await new Promise<void>((started, failed) => {
    child.once('error', failed)
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        tail.push(line)
        if (tail.length > 40) tail.shift()
        if (line.startsWith('pid ')) javaPid = Number(line.slice(4))
        if (line.includes('Kafka Server started')) started()
      })
    }
    void exited.then((log) => failed(new Error(`Kafka did not start in ${dir}:\n${log}`)))
  })
  return { pid: () => javaPid, signal: (signal) => sendSignal(child, javaPid, signal), exited }
}

function sendSignal(child: ChildProcess, pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined || child.exitCode !== null) return
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

async function format(dir: string, classPath: string, users: readonly BrokerUser[]): Promise<void> {
  const paths = brokerPaths(dir)
  if (existsSync(join(paths.data, 'meta.properties'))) return
  const java = ['-XX:TieredStopAtLevel=1', '-cp', classPath, `-Dlog4j2.configurationFile=${paths.logging}`]
  const id = randomBytes(16)
  // The tool takes an id that begins with a dash for an option.
  id[0]! &= 0x7f
  const clusterId = id.toString('base64url')
  const tool = ['kafka.tools.StorageTool', 'format', '--cluster-id', clusterId, '--config', paths.properties]
  await run('java', [...java, ...tool, ...scramArguments(users)])
}

async function choosePorts(plaintext: number): Promise<BrokerPorts> {
  const servers: Server[] = []
  try {
    const hold = async (port: number) => {
      const server = createServer().listen(port, '127.0.0.1')
      await once(server, 'listening')
      servers.push(server)
      return (server.address() as AddressInfo).port
    }
    // All are held together and let go together, so that no two are the same.
    return {
      plaintext: await hold(plaintext),
      controller: await hold(0),
      sasl: await hold(0),
      tls: await hold(0),
      saslTls: await hold(0),
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    const todo = 'end what listens there, or choose another with --port'
    throw new Error(`Cannot start Kafka: port ${plaintext} is taken; ${todo}`, { cause: error })
  } finally {
    await Promise.all(servers.map((server) => new Promise((closed) => server.close(closed))))
  }
}
