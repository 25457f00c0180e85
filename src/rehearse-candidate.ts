/**
 * Rehearsal candidates: machines of this program, or loaded from a place somebody names.
 *
 * K1: a candidate imports xstate and its own files, nothing that reaches the outside.
 * K2: what cannot be tried is said in one message with what is expected there.
 */
import { existsSync, statSync } from 'node:fs'
import { isBuiltin, registerHooks } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Candidate } from './actors/rehearse-walk.ts'
import { machineVersion, migrations, type MachineVersions } from './machines/migrations.ts'
import { createOrderMachine, pizzaKey } from './machines/order.machine.ts'
import { recipe, type Recipe } from './menu.ts'

/** This program's own machines. */
export const ownCandidate: Candidate = {
  machine: createOrderMachine(recipe),
  recipe,
  pizzaKey,
  machineVersion,
  migrations,
}

/** What a candidate's files may export. */
interface CandidateModules {
  readonly createOrderMachine?: unknown
  readonly pizzaKey?: Candidate['pizzaKey']
}

/**
 * Loads a candidate from its order machine, or from the folder it is in. The migrations beside it and the menu above it are its own,
 * as they are in a checkout; where they are not there, ours are taken. @throws Error with code `bad-candidate`.
 */
export async function loadCandidate(place: string): Promise<Candidate> {
  const file = findMachine(place)
  restrictImports(dirname(file))
  const beside = async <T>(path: string, ours: T): Promise<T> => {
    const found = join(dirname(file), path)
    return existsSync(found) ? ((await load(found, place)) as T) : ours
  }
  const modules = (await load(file, place)) as CandidateModules
  const versions = await beside<MachineVersions>('migrations.ts', { machineVersion, migrations })
  const { recipe: wanted } = await beside<{ recipe: Recipe }>('../menu.ts', { recipe })
  const { createOrderMachine: create, pizzaKey: keyOf = pizzaKey } = modules
  if (typeof create !== 'function') throw badCandidate(place, 'it does not export createOrderMachine(recipe)')
  try {
    const machine = (create as typeof createOrderMachine)(wanted)
    const { machineVersion, migrations } = versions
    const candidate: Candidate = { machine, recipe: wanted, pizzaKey: keyOf, machineVersion, migrations }
    assertMakesOrders(candidate)
    return candidate
  } catch (error) {
    throw badCandidate(place, `createOrderMachine(recipe) fails: ${toReason(error)}`, error)
  }
}

/** A machine that cannot even begin is no machine, and not one that loses every order. */
function assertMakesOrders(candidate: Candidate): void {
  if (typeof candidate.machine?.getInitialSnapshot !== 'function') throw new Error('it returns no XState machine')
}

function findMachine(place: string): string {
  const path = resolve(place)
  if (!existsSync(path)) throw badCandidate(place, 'there is no such file or folder')
  if (!statSync(path).isDirectory()) return path
  const found = ['order.machine.ts', 'machines/order.machine.ts', 'src/machines/order.machine.ts']
    .map((name) => join(path, name))
    .find((file) => existsSync(file))
  if (found === undefined) throw badCandidate(place, 'there is no order.machine.ts in this folder, nor src/machines/')
  return found
}

async function load(file: string, place: string): Promise<object> {
  try {
    return (await import(pathToFileURL(file).href)) as object
  } catch (error) {
    throw badCandidate(place, toReason(error), error)
  }
}

/** Machines are pure: what they may import is xstate and each other. One that stands outside every checkout gets our xstate. */
function restrictImports(folder: string): void {
  const from = pathToFileURL(`${folder}/`).href
  registerHooks({
    resolve(specifier, context, next) {
      if (isBuiltin(specifier) && context.parentURL?.startsWith(from)) {
        throw new Error(`it imports ${specifier}${pure}`)
      }
      try {
        return next(specifier, context)
      } catch (error) {
        if (!/^xstate(?:\/|$)/.test(specifier)) throw error
        return next(specifier, { ...context, parentURL: import.meta.url })
      }
    },
  })
}

function badCandidate(place: string, why: string, cause?: unknown): Error {
  const expected = 'Expected an order.machine.ts that exports createOrderMachine(recipe), or the folder it is in'
  const message = `--machine ${place}: ${why.replace(/[.\s]+$/, '')}. ${expected}.`
  return Object.assign(new Error(message, { cause }), { code: 'bad-candidate' })
}

function toReason(error: unknown): string {
  if ((error as NodeJS.ErrnoException).code === 'ERR_ACCESS_DENIED') return `it wants to touch files or programs${pure}`
  return (error instanceof Error ? error.message : String(error)).split('\n')[0]!
}

const pure = ', but machines are pure: they import xstate and each other'
