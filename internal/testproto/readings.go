package testproto

// Readings is the source of an API whose operations page in every way that exists, with the streams that
// cmd/protogen would write for them.
const Readings = `
syntax = "proto3";
package samsara_gateway.readings.v1;
import "samsara_gateway/api/v1/annotations.proto";
import "samsara_gateway/api/v1/stream.proto";
service ReadingsService {
  rpc ListReadings(ListReadingsRequest) returns (ListReadingsResponse) {
    option (samsara_gateway.api.v1.operation) = {
      id: "listReadings" method: HTTP_METHOD_GET path: "/readings/{id}"
      pagination: PAGINATION_CURSOR repeatable: true items: "data"
    };
  }
  rpc StreamReadings(StreamReadingsRequest) returns (stream StreamReadingsResponse) {
    option (samsara_gateway.api.v1.stream) = {method: "ListReadings" shape: STREAM_SHAPE_PAGES};
  }
  rpc GetReadingsStream(GetReadingsStreamRequest) returns (GetReadingsStreamResponse) {
    option (samsara_gateway.api.v1.operation) = {
      id: "getReadingsStream" method: HTTP_METHOD_GET path: "/readings/stream"
      pagination: PAGINATION_CURSOR feed: true repeatable: true items: "data"
    };
  }
  rpc StreamReadingsStream(StreamReadingsStreamRequest) returns (stream StreamReadingsStreamResponse) {
    option (samsara_gateway.api.v1.stream) = {
      method: "GetReadingsStream" shape: STREAM_SHAPE_PAGES end_required: true
    };
  }
  rpc FollowReadings(FollowReadingsRequest) returns (stream FollowReadingsResponse) {
    option (samsara_gateway.api.v1.stream) = {method: "GetReadingsStream" shape: STREAM_SHAPE_FOLLOW};
  }
  rpc ListOldReadings(ListOldReadingsRequest) returns (ListOldReadingsResponse) {
    option (samsara_gateway.api.v1.operation) = {
      id: "listOldReadings" method: HTTP_METHOD_GET path: "/v1/readings"
      pagination: PAGINATION_BIDIRECTIONAL repeatable: true items: "data.readings"
    };
  }
  rpc StreamOldReadings(StreamOldReadingsRequest) returns (stream StreamOldReadingsResponse) {
    option (samsara_gateway.api.v1.stream) = {method: "ListOldReadings" shape: STREAM_SHAPE_PAGES};
  }
  rpc ListSheets(ListSheetsRequest) returns (ListSheetsResponse) {
    option (samsara_gateway.api.v1.operation) = {
      id: "listSheets" method: HTTP_METHOD_GET path: "/sheets/{pageNumber}/of/{book}"
      pagination: PAGINATION_PAGE_NUMBER repeatable: true items: "sheet.readings"
    };
  }
  rpc StreamSheets(StreamSheetsRequest) returns (stream StreamSheetsResponse) {
    option (samsara_gateway.api.v1.stream) = {method: "ListSheets" shape: STREAM_SHAPE_PAGES};
  }
}
message Reading {
  optional string id = 1;
  optional string text = 2;
}
message Pagination {
  optional string end_cursor = 1;
  optional bool has_next_page = 2;
}
message ListReadingsRequest {
  optional string id = 1 [(samsara_gateway.api.v1.field) = {in: LOCATION_PATH required: true}];
  optional string after = 2 [(samsara_gateway.api.v1.field) = {in: LOCATION_QUERY}];
  repeated string types = 3 [(samsara_gateway.api.v1.field) = {in: LOCATION_QUERY array_style: ARRAY_STYLE_COMMA}];
  repeated int64 tags = 4 [(samsara_gateway.api.v1.field) = {in: LOCATION_QUERY array_style: ARRAY_STYLE_REPEAT}];
  optional int32 limit = 5 [(samsara_gateway.api.v1.field) = {in: LOCATION_QUERY}];
  repeated string kinds = 6 [(samsara_gateway.api.v1.field) = {in: LOCATION_QUERY array_style: ARRAY_STYLE_COMMA ordered: true}];
}
message ListReadingsResponse {
  repeated Reading data = 1;
  Pagination pagination = 2;
}
message StreamReadingsRequest {
  ListReadingsRequest request = 1;
  samsara_gateway.api.v1.StreamOptions options = 2;
}
message StreamReadingsResponse {
  ListReadingsResponse page = 1;
  optional string cursor = 2;
}
message GetReadingsStreamRequest {
  repeated string ids = 1 [(samsara_gateway.api.v1.field) = {in: LOCATION_QUERY array_style: ARRAY_STYLE_COMMA}];
  optional string after = 2 [(samsara_gateway.api.v1.field) = {in: LOCATION_QUERY}];
  optional string end_time = 3 [(samsara_gateway.api.v1.field) = {in: LOCATION_QUERY}];
}
message GetReadingsStreamResponse {
  repeated Reading data = 1;
  Pagination pagination = 2;
}
message StreamReadingsStreamRequest {
  GetReadingsStreamRequest request = 1;
  samsara_gateway.api.v1.StreamOptions options = 2;
}
message StreamReadingsStreamResponse {
  GetReadingsStreamResponse page = 1;
  optional string cursor = 2;
}
message FollowReadingsRequest {
  GetReadingsStreamRequest request = 1;
  samsara_gateway.api.v1.FollowOptions options = 2;
}
message FollowReadingsResponse {
  GetReadingsStreamResponse page = 1;
  optional string cursor = 2;
  samsara_gateway.api.v1.KeepAlive keep_alive = 3;
}
message ListOldReadingsRequest {
  optional string starting_after = 1 [(samsara_gateway.api.v1.field) = {in: LOCATION_QUERY}];
  optional string ending_before = 2 [(samsara_gateway.api.v1.field) = {in: LOCATION_QUERY}];
  optional int64 limit = 3 [(samsara_gateway.api.v1.field) = {in: LOCATION_QUERY}];
}
message OldReadings {
  optional string unit = 1;
  repeated Reading readings = 2;
}
message ListOldReadingsResponse {
  OldReadings data = 1;
  Pagination pagination = 2;
}
message StreamOldReadingsRequest {
  ListOldReadingsRequest request = 1;
  samsara_gateway.api.v1.StreamOptions options = 2;
}
message StreamOldReadingsResponse {
  ListOldReadingsResponse page = 1;
  optional string cursor = 2;
}
message ListSheetsRequest {
  optional string page_number = 1 [(samsara_gateway.api.v1.field) = {in: LOCATION_PATH name: "pageNumber" required: true}];
  optional string book = 2 [(samsara_gateway.api.v1.field) = {in: LOCATION_PATH required: true}];
}
message Sheet { repeated Reading readings = 1; }
message ListSheetsResponse { Sheet sheet = 1; }
message StreamSheetsRequest {
  ListSheetsRequest request = 1;
  samsara_gateway.api.v1.StreamOptions options = 2;
}
message StreamSheetsResponse {
  ListSheetsResponse page = 1;
  optional string cursor = 2;
}
`
