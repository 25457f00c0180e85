/** Starts the service of one topping. */
import { startToppingService } from './actors/topping-service.ts'
import type { Started } from './local-roles.ts'
import type { Parts } from './role-parts.ts'

export async function startTopping({ config, log, logger, recipe, topics }: Parts, topping: string): Promise<Started> {
  const step = recipe.find((candidate) => candidate.topping === topping)!
  const { from, to } = topics.stages.get(topping)!
  const groupId = `${config.groupId}.${topping}`
  const { deadLetters } = topics
  return {
    role: await startToppingService({ log, logger, step, from, to, deadLetters, groupId, startFrom: config.startFrom }),
  }
}
