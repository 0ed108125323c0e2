// Package audit writes a line for each call that may matter afterwards: what was written, and what was denied.
//
// # Guarantees
//
//   - A line is whole or not there, also after kill -9: each is one write. A text within it, such as an id with a line
//     break, cannot end it, nor look like another member.
//   - Write returns when the line is with the kernel, or after a second: a disk that hangs costs each call a second at
//     most, and all together one line at a time and 1000 that wait. Lines survive the process, and not a loss of power:
//     they are not synced.
//   - The files take Config.MaxBytes times Config.Files at most. The oldest is removed.
//   - After an error each Write tries again, with a file that is opened anew.
//
// A Log is safe for concurrent use. It has one goroutine, which Close ends.
//
// The rotation is ours, forty lines: whoever writes has to know of each line whether it is there, and a file that
// hangs must not hold up those who only read.
package audit
