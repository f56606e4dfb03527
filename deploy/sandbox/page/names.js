/** What ids are called, for everything that is drawn. */

/** Names for the people, groups and channels of a state. */
export function namesOf({ team, me, users, groups, channels }) {
  const people = new Map(users.map((user) => [user.id, user]));
  const named = (user) => user?.real_name || user?.name;
  return {
    person: (id) => people.get(id),
    user: (id) => named(people.get(id)) ?? id,
    group: (id) => groups[id] ?? id,
    channel: (id) => title(channels[id], me, people) ?? id,
    file: (id) =>
      `/page/file/${encodeURIComponent(id)}?${new URLSearchParams({ as: people.get(me)?.name ?? "", team: team ?? "" })}`,
    everybody: () => users.map((user) => ({ id: user.id, name: named(user) })),
    places: () => Object.values(channels).map(({ id }) => ({ id, name: title(channels[id], me, people) })),
    groups: () => Object.entries(groups).map(([id, handle]) => ({ id, name: handle })),
  };
}

function title(channel, me, people) {
  if (channel?.type !== "im") return channel?.name;
  const other = channel.members.find((member) => member !== me) ?? me;
  return people.get(other)?.real_name ?? other;
}
