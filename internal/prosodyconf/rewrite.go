package prosodyconf

import (
	"errors"
	"reflect"

	"github.com/yuin/gopher-lua/ast"
)

// concatName is the function that stands in for the operator `..`. No program can name it: it is no identifier.
const concatName = "(concat)"

var errNesting = errors.New("the config nests too deeply")

// boundConcat replaces every `..` by a call of the bounded concat: the operator itself doubles a text in one step, so that
// thirty steps fill any memory. The tree is walked by reflection, since all that matters is where expressions stand.
func boundConcat(chunk []ast.Stmt) error {
	return rewrite(reflect.ValueOf(&chunk).Elem(), 0)
}

func rewrite(v reflect.Value, depth int) error {
	if depth > maxNesting {
		return errNesting
	}
	switch v.Kind() {
	case reflect.Interface:
		if v.IsNil() {
			return nil
		}
		if operator, ok := v.Interface().(*ast.StringConcatOpExpr); ok {
			v.Set(reflect.ValueOf(concatCall(operator)))
		}
		return rewrite(v.Elem(), depth+1)
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return rewrite(v.Elem(), depth)
	case reflect.Struct:
		for i := range v.NumField() {
			if !v.Type().Field(i).IsExported() {
				continue
			}
			if err := rewrite(v.Field(i), depth); err != nil {
				return err
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			if err := rewrite(v.Index(i), depth); err != nil {
				return err
			}
		}
	}
	return nil
}

func concatCall(operator *ast.StringConcatOpExpr) *ast.FuncCallExpr {
	name := &ast.IdentExpr{Value: concatName}
	call := &ast.FuncCallExpr{Func: name, Args: []ast.Expr{operator.Lhs, operator.Rhs}, AdjustRet: true}
	for _, node := range []ast.PositionHolder{name, call} {
		node.SetLine(operator.Line())
		node.SetLastLine(operator.LastLine())
	}
	return call
}
