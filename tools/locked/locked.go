// Package locked checks that methods which need a lock held are called with one: a function whose
// name ends in Locked is called only by another one, or if the same function has called Lock of a
// sync.Mutex or sync.RWMutex on every way there, and has not called Unlock since. A function literal
// counts as code of the function that it is in, at its own position; what go starts holds no lock.
//
// It does not know which lock belongs to which method: that is for the name of the type to say.
package locked

import (
	"errors"
	"go/ast"
	"go/types"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/passes/ctrlflow"
	"golang.org/x/tools/go/analysis/passes/inspect"
	"golang.org/x/tools/go/ast/inspector"
	"golang.org/x/tools/go/cfg"
	"golang.org/x/tools/go/types/typeutil"
)

// New returns the check.
func New() *analysis.Analyzer {
	return &analysis.Analyzer{
		Name:     "locked",
		Doc:      "check that ...Locked methods are called with a lock held",
		Requires: []*analysis.Analyzer{inspect.Analyzer, ctrlflow.Analyzer},
		Run:      run,
	}
}

const suffix = "Locked"

func run(pass *analysis.Pass) (any, error) {
	flows, hasFlows := pass.ResultOf[ctrlflow.Analyzer].(*ctrlflow.CFGs)
	in, hasFiles := pass.ResultOf[inspect.Analyzer].(*inspector.Inspector)
	if !hasFlows || !hasFiles {
		return nil, errors.New("what it requires was not run")
	}
	c := &checker{pass, flows}
	for decl := range inspector.All[*ast.FuncDecl](in) {
		if decl.Body != nil {
			c.check(c.flows.FuncDecl(decl), strings.HasSuffix(decl.Name.Name, suffix))
		}
	}
	return nil, nil
}

type checker struct {
	pass  *analysis.Pass
	flows *ctrlflow.CFGs
}

// check reports the faulty calls in a function. held is whether the function begins with a lock held.
func (c *checker) check(flow *cfg.CFG, held bool) {
	if flow == nil { // some functions of the standard library have none
		return
	}
	// A block begins with the lock held if all blocks before it end with the lock held. All are assumed to
	// do so until one is found that does not.
	before := make(map[*cfg.Block]bool)
	for _, b := range flow.Blocks {
		before[b] = true
	}
	before[flow.Blocks[0]] = held
	for changed := true; changed; {
		changed = false
		for _, b := range flow.Blocks {
			if !b.Live {
				continue
			}
			after := before[b]
			for _, n := range b.Nodes {
				after = c.walk(n, after, false)
			}
			for _, next := range b.Succs {
				if before[next] && !after {
					before[next], changed = false, true
				}
			}
		}
	}
	for _, b := range flow.Blocks {
		if b.Live {
			held := before[b]
			for _, n := range b.Nodes {
				held = c.walk(n, held, true)
			}
		}
	}
}

// walk follows a lock through a node. If report is true it reports what is called without the lock.
func (c *checker) walk(n ast.Node, held, report bool) bool {
	called := make(map[ast.Expr]bool)
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			if report {
				c.check(c.flows.FuncLit(n), held)
			}
			return false
		case *ast.GoStmt:
			c.walk(n.Call, false, report)
			return false
		case *ast.DeferStmt:
			// A call that is deferred while the lock is held runs before the lock is released.
			c.walk(n.Call, held, report)
			return false
		case *ast.CallExpr:
			called[ast.Unparen(n.Fun)] = true
			switch f, _ := typeutil.Callee(c.pass.TypesInfo, n).(*types.Func); {
			case isMutex(f, "Lock"):
				held = true
			case isMutex(f, "Unlock"):
				held = false
			}
		case *ast.SelectorExpr:
			if called[n] {
				called[n.Sel] = true
			}
		case *ast.Ident:
			f, ok := c.pass.TypesInfo.Uses[n].(*types.Func)
			if !ok || held || !report || !strings.HasSuffix(f.Name(), suffix) {
				return true
			}
			if called[n] {
				c.pass.Reportf(n.Pos(), "%s is called without a lock held", n.Name)
			} else {
				c.pass.Reportf(n.Pos(), "%s is handed on without a lock held", n.Name)
			}
		}
		return true
	})
	return held
}

// isMutex reports whether f is the named method of a sync.Mutex or a sync.RWMutex.
func isMutex(f *types.Func, name string) bool {
	if f == nil || f.Name() != name || f.Pkg() == nil || f.Pkg().Path() != "sync" {
		return false
	}
	recv := f.Signature().Recv()
	return recv != nil && (strings.HasSuffix(recv.Type().String(), "sync.Mutex") || strings.HasSuffix(recv.Type().String(), "sync.RWMutex"))
}
