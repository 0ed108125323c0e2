// Package oauth keeps the access token of one OAuth 2.0 grant fresh, for an upstream whose refresh tokens are good for
// one use.
//
// # Guarantees
//
//   - One refresh runs at a time, however many calls need it. While the access token in use is good, no call waits: it
//     is refreshed ahead of time, at four fifths of its life, a tenth more or less.
//   - A new refresh token is in its file, and with the disk, before the access token that came with it is used. The file
//     has the old one or the new one, whole. If it cannot be written, the new pair is kept in memory, the writing is tried
//     again, and the old access token is used until it expires.
//   - The file belongs to one process: a lock beside it, FILE.lock, keeps others away.
//   - What the upstream answers is in no error and no log, except for the error code of the standard.
//
// # What cannot be survived
//
// A refresh token is used up when the upstream has read the request. If its answer is lost on the way, or the process
// is killed before the answer is in the file, the grant is gone: the upstream refuses the old refresh token from then on.
// Then the grant says so, goes on with the access token that it has until that expires, and asks no more until
// somebody has put another refresh token into the file.
//
// A Grant is safe for concurrent use. It has one goroutine at most, which Close ends.
//
// To read: grant, refresh, file.
package oauth
