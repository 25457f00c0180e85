import { describe, expect, it } from 'vitest'
import type { KafkaClient, KafkaCluster } from '../../src/log/kafka-client.ts'
import { createKafkaTopics } from '../../src/log/kafka-topics.ts'

/** As kafkajs's cluster: it remembers which topics it was asked about, also when the question failed. */
function createCluster(failures: number) {
  const asked = new Set<string>()
  const known = new Set<string>()
  let answers = -failures
  const refreshMetadata = () => {
    if (answers++ < 0) return Promise.reject(new Error('timed out'))
    for (const topic of asked) known.add(topic)
    return Promise.resolve()
  }
  return {
    refreshMetadata,
    addMultipleTargetTopics: async ([topic]: string[]) => {
      if (asked.has(topic!)) return
      asked.add(topic!)
      await refreshMetadata()
    },
    findTopicPartitionMetadata: (topic: string) => (known.has(topic) ? [0, 1, 2, 3, 4, 5] : []),
  }
}

function createClient(cluster: ReturnType<typeof createCluster>): KafkaClient {
  return {
    async attempt<T>(_: string, run: (cluster: KafkaCluster) => Promise<T>): Promise<T> {
      for (let tries = 1; ; tries++) {
        try {
          return await run(cluster as unknown as KafkaCluster)
        } catch (error) {
          if (tries === 5) throw error
          await cluster.refreshMetadata().catch(() => {})
        }
      }
    },
  } as KafkaClient
}

describe('The topics of a cluster', () => {
  it.each([0, 1, 2, 4])('have their partitions, after %i answers that did not come', async (failures) => {
    const topics = createKafkaTopics(createClient(createCluster(failures)), 1)
    await topics.learn(['pizza'])
    expect(topics.partitions(['pizza']).get('pizza')).toEqual([0, 1, 2, 3, 4, 5])
  })

  it('are not taken for topics without partitions, however long no answer comes', async () => {
    const topics = createKafkaTopics(createClient(createCluster(99)), 1)
    await expect(topics.learn(['pizza'])).rejects.toThrow('no broker said how many partitions pizza has')
  })
})
