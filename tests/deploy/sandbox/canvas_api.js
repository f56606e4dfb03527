/** Stands for the page's `api.js`: writes down what is sent, and answers as a test has said. */
export class Refused extends Error {
  constructor(code) {
    super(code);
    this.code = code;
  }
}

window.sent = [];

export async function control(what, body) {
  window.sent.push({ what, ...body });
  const answer = await window.answer;
  if (answer?.error) throw new Refused(answer.error);
  return answer ?? {};
}
