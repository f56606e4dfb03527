/** What the people who can be played may do. */

const MAY = {
  asker: "asks",
  staff: "teaches: ✅ ❌ 📝",
  admin: "trains and rolls back",
  guest: "guest: may ask, never teaches",
};

/** The role of a person: asker, staff, admin or guest. */
export function role(user) {
  if (user?.is_admin) return "admin";
  if (user?.is_restricted) return "guest";
  return user?.name?.startsWith("staff") ? "staff" : "asker";
}

/** What they may do, in a few words. */
export const may = (user) => MAY[role(user)];

/** Whether Mynah learns from what they say is right. */
export const teaches = (user) => ["staff", "admin"].includes(role(user));

/** The names of the personas who have a role, in the order of the workspace. */
export function played(state, wanted) {
  const users = new Map(state.users.map((user) => [user.id, user]));
  return state.personas.filter(({ id }) => role(users.get(id)) === wanted).map(({ name }) => name);
}
