/**
 * Migrations. The version of the machines, and how a snapshot that older machines wrote becomes one of these. Pure, as the machines.
 *
 * N1: a migration leads from its version to the next one; a snapshot passes each of them in turn, whenever it is read.
 * N2: what it leads to is what the journal leads to under the machines of that version: `npm start -- rehearse` compares them.
 */

/** The version of the order and pizza machines. Raise it with any change of states, children or context, and add a migration. */
export const machineVersion = 1

/** A snapshot as older machines wrote it: an order's, or a pizza's among its children. */
export interface OldSnapshot {
  readonly value: unknown
  readonly context: Readonly<Record<string, unknown>>
  readonly children: Readonly<Record<string, { readonly snapshot: OldSnapshot; readonly [field: string]: unknown }>>
  readonly [field: string]: unknown
}

export type Migration = (order: OldSnapshot) => OldSnapshot

/** A version of the machines with what reads the snapshots of those before. */
export interface MachineVersions {
  readonly machineVersion: number
  /** By the version that wrote the snapshot. */
  readonly migrations: Readonly<Record<number, Migration>>
}

/** Never changed once a version is out, only added to. */
export const migrations: MachineVersions['migrations'] = {}
