/**
 * Kafka's jars. Brings the Apache Kafka broker from Maven into a per-user cache folder, once, and finds the Java that runs it.
 *
 * J1: a cache folder that exists is complete: jars are gathered in a folder beside it, which is renamed into place.
 * J2: two processes may fill the cache at once; one wins the rename and the other throws its copy away.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

export const kafkaVersion = '4.1.0'
const javaMajorMin = 17

const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>pizza-actors</groupId><artifactId>kafka-broker</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${kafkaVersion}</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.24.3</version></dependency>
  </dependencies>
</project>
`
const copyDependencies = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies'

const installJava = `install a JDK ${javaMajorMin} or later (Debian and Ubuntu: apt install openjdk-17-jdk-headless; macOS: brew install openjdk)`
const installMaven = 'install Maven (Debian and Ubuntu: apt install maven; macOS: brew install maven)'
const orDocker = 'or use Docker instead: docker compose up kafka'

/** Where the jars of this Kafka version are kept. `PIZZA_KAFKA_CACHE` overrides the per-user cache folder. */
function jarsFolder(env: NodeJS.ProcessEnv = process.env): string {
  const cache = env['PIZZA_KAFKA_CACHE'] ?? join(env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'pizza-actors')
  return join(cache, `kafka-${kafkaVersion}`)
}

/**
 * Says what is missing to run a broker here.
 * @returns one sentence with what to install, or undefined when everything is there.
 */
export async function missingForKafka(): Promise<string | undefined> {
  const version = await javaMajor()
  if (version === undefined)
    return `Kafka needs Java, and there is no \`java\` on the PATH: ${installJava}, ${orDocker}`
  if (version < javaMajorMin)
    return `Kafka needs Java ${javaMajorMin}, and this is Java ${version}: ${installJava}, ${orDocker}`
  if (existsSync(jarsFolder())) return undefined
  const maven = await run('mvn', ['--version']).catch(() => undefined)
  return maven
    ? undefined
    : `Kafka's jars come by Maven, and there is no \`mvn\` on the PATH: ${installMaven}, ${orDocker}`
}

/**
 * Makes sure that the jars are in the cache; downloads about 45 MB the first time.
 * @returns the class path for `java -cp`.
 * @throws Error with what to install when Java or Maven is missing.
 */
export async function bringKafkaJars(onDownload: (folder: string) => void = () => {}): Promise<string> {
  const missing = await missingForKafka()
  if (missing) throw new Error(missing)
  const folder = jarsFolder()
  if (!existsSync(folder)) {
    onDownload(folder)
    await fillCache(folder)
  }
  return join(folder, '*')
}

async function fillCache(folder: string): Promise<void> {
  await mkdir(dirname(folder), { recursive: true })
  const aside = await mkdtemp(`${folder}.partial-`)
  try {
    const pomPath = join(aside, 'pom.xml')
    const libs = join(aside, 'libs')
    await writeFile(pomPath, pom)
    const goal = [copyDependencies, '-DincludeScope=runtime', `-DoutputDirectory=${libs}`]
    await run('mvn', ['--quiet', '--batch-mode', '--file', pomPath, ...goal]).catch(
      (error: Error & { stdout?: string }) => {
        throw new Error(`Maven could not bring Kafka ${kafkaVersion}: ${error.stdout?.trim() || error.message}`)
      },
    )
    await rename(libs, folder).catch((error: NodeJS.ErrnoException) => {
      // Another process filled the cache meanwhile: a complete folder is there (J1).
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error
    })
  } finally {
    await rm(aside, { recursive: true, force: true })
  }
}

async function javaMajor(): Promise<number | undefined> {
  const answer = await run('java', ['-version']).catch(() => undefined)
  const version = answer && /version "(?:1\.)?(\d+)/.exec(answer.stderr)?.[1]
  return version ? Number(version) : undefined
}
