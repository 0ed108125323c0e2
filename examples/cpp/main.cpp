// A client of samsara-gateway in C++: see ../README.md for what it shows.

#include <google/protobuf/struct.pb.h>
#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/error_details.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "samsara_gateway/addresses/v1/addresses.grpc.pb.h"
#include "samsara_gateway/contacts/v1/contacts.grpc.pb.h"
#include "samsara_gateway/location_and_speed/v1/location_and_speed.grpc.pb.h"
#include "samsara_gateway/readings/v1/readings.grpc.pb.h"
#include "samsara_gateway/tags/v1/tags.grpc.pb.h"
#include "samsara_gateway/vehicles/v1/vehicles.grpc.pb.h"

namespace addresses = samsara_gateway::addresses::v1;
namespace contacts = samsara_gateway::contacts::v1;
namespace location_and_speed = samsara_gateway::location_and_speed::v1;
namespace readings = samsara_gateway::readings::v1;
namespace tags = samsara_gateway::tags::v1;
namespace vehicles = samsara_gateway::vehicles::v1;

namespace {

using std::chrono::system_clock;
using namespace std::chrono_literals;

// How large an answer may be. The gateway sends larger ones than gRPC's default of 4 MiB.
constexpr int kMaxMessageBytes = 64 << 20;
// How many records of a feed are read.
constexpr std::size_t kRecords = 60;
// Every collection of the sandbox has a record with this id.
constexpr char kId[] = "281474976710657";
// Uses all replicas behind a name, leaves one that stops, and repeats what no replica has answered.
constexpr char kReplicas[] = R"({
  "loadBalancingConfig": [{"round_robin": {}}],
  "healthCheckConfig": {"serviceName": ""},
  "methodConfig": [{
    "name": [{}],
    "waitForReady": true,
    "retryPolicy": {
      "maxAttempts": 3,
      "initialBackoff": "0.1s",
      "maxBackoff": "1s",
      "backoffMultiplier": 2,
      "retryableStatusCodes": ["UNAVAILABLE"]
    }
  }],
  "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1}
})";

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) throw std::runtime_error(std::string(name) + " is not set");
  return value;
}

// Returns a channel. It connects when it is first used, and again when its connection is lost. Pings find out that a
// gateway is gone without a word, and are never more frequent than the gateway takes, one in 10 seconds.
std::shared_ptr<grpc::Channel> Dial(const std::string& address,
                                    const std::shared_ptr<grpc::ChannelCredentials>& credentials,
                                    const std::string& service_config = "{}") {
  grpc::ChannelArguments arguments;
  arguments.SetServiceConfigJSON(service_config);
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  return grpc::CreateCustomChannel(address, credentials, arguments);
}

// Sets the deadline of a call, which waits for a gateway as long. A context is for one call.
void Bound(grpc::ClientContext& context, std::chrono::milliseconds deadline = 10s) {
  context.set_deadline(system_clock::now() + deadline);
  context.set_wait_for_ready(true);
}

// Makes the sandbox answer a call with a fault.
void Fault(grpc::ClientContext& context, const std::string& fault) {
  context.AddMetadata("samsara-sandbox-fault", fault);
}

[[noreturn]] void Fail(const std::string& step, const grpc::Status& status) {
  throw std::runtime_error(step + ": status " + std::to_string(status.error_code()) + ": " + status.error_message());
}

void Check(const std::string& step, const grpc::Status& status, grpc::StatusCode want = grpc::StatusCode::OK) {
  if (status.error_code() != want) Fail(step, status);
}

// Returns the detail of a type that an error carries.
template <typename Detail>
Detail DetailOf(const grpc::Status& error) {
  google::rpc::Status status;
  Check("details", grpc::ExtractErrorDetails(error, &status));
  Detail detail;
  for (const auto& any : status.details()) {
    if (any.UnpackTo(&detail)) return detail;
  }
  throw std::runtime_error("the error has no " + Detail::descriptor()->full_name());
}

// Returns the value of a key of headers or trailers.
std::string ValueOf(const std::multimap<grpc::string_ref, grpc::string_ref>& metadata, const char* key) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) throw std::runtime_error(std::string("there is no ") + key);
  return {found->second.data(), found->second.size()};
}

// Returns a time as in RFC 3339.
std::string Text(system_clock::time_point time) {
  const std::time_t seconds = system_clock::to_time_t(time);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::ostringstream text;
  text << std::put_time(&utc, "%Y-%m-%dT%H:%M:%SZ");
  return text.str();
}

// Reads all vehicles. The gateway reads the pages.
void List(const std::shared_ptr<grpc::Channel>& channel) {
  const auto client = vehicles::VehiclesService::NewStub(channel);
  grpc::ClientContext context;
  Bound(context);
  vehicles::StreamVehiclesRequest request;
  request.mutable_request()->set_limit(5);

  const auto reader = client->StreamVehicles(&context, request);
  vehicles::StreamVehiclesResponse message;
  int count = 0;
  int pages = 0;
  while (reader->Read(&message)) {
    count += message.page().data_size();
    ++pages;
  }
  Check("list", reader->Finish());  // Read is false at the end and after an error: Finish tells which.
  std::cout << "list: " << count << " vehicles in " << pages << " pages" << std::endl;
}

// Reads a feed. When the gateway is lost it goes on behind the last message that was dealt with.
void Follow(const std::shared_ptr<grpc::Channel>& channel) {
  const auto client = location_and_speed::LocationAndSpeedService::NewStub(channel);
  // A cursor goes with the request that it is from, so this is the same each time. A service keeps the cursor where it
  // keeps what it has made of the records.
  location_and_speed::FollowLocationAndSpeedRequest request;
  auto& asked = *request.mutable_request();
  asked.add_ids(kId);
  asked.set_limit(10);
  asked.set_start_time(Text(system_clock::now() - 1h));

  std::set<std::string> seen;
  int twice = 0;
  bool lost = false;
  while (seen.size() < kRecords) {
    grpc::ClientContext context;
    Bound(context, 1min);
    const auto reader = client->FollowLocationAndSpeed(&context, request);
    location_and_speed::FollowLocationAndSpeedResponse message;
    bool begun = false;
    while (seen.size() < kRecords && reader->Read(&message)) {
      for (const auto& record : message.page().data()) {
        if (!seen.insert(record.happened_at_time()).second) ++twice;
      }
      if (!begun) std::cerr << "follow begins" << std::endl;
      begun = true;
      if (message.has_cursor()) request.mutable_options()->set_from_cursor(message.cursor());
    }
    if (seen.size() >= kRecords) {
      context.TryCancel();  // A feed has no end, and Finish waits for it.
      reader->Finish();
      break;
    }
    Check("follow", reader->Finish(), grpc::StatusCode::UNAVAILABLE);
    lost = true;
  }
  std::cout << "follow: " << seen.size() << " records, " << twice << " of them twice, the gateway was lost: " << lost
            << std::endl;
}

// Calls without a pause until standard input ends. Meanwhile one replica after the other is restarted.
void Restarts(const std::shared_ptr<grpc::Channel>& channel) {
  const auto client = contacts::ContactsService::NewStub(channel);
  const auto call = [&client] {
    grpc::ClientContext context;
    Bound(context);
    Fault(context, "latency=50ms");
    contacts::GetContactRequest request;
    request.set_id(kId);
    contacts::GetContactResponse answer;
    return client->GetContact(&context, request, &answer);
  };
  Check("restarts", call());
  std::cerr << "restarts begin" << std::endl;

  std::atomic<bool> ended = false;
  std::atomic<int> calls = 0;
  std::atomic<int> failed = 0;
  std::vector<std::thread> callers;
  for (int i = 0; i < 8; ++i) {
    callers.emplace_back([&] {
      while (!ended) {
        const auto status = call();
        ++calls;
        if (!status.ok() && failed++ == 0) {
          std::cerr << "status " << status.error_code() << ": " << status.error_message() << std::endl;
        }
      }
    });
  }
  std::cin.ignore(std::numeric_limits<std::streamsize>::max());
  ended = true;
  for (auto& caller : callers) caller.join();
  std::cerr << "restarts: " << calls << " calls" << std::endl;
  std::cout << "restarts: " << failed << " calls failed" << std::endl;
}

// Reads an error: its code, its reason, and when to call again.
void Quota(const std::shared_ptr<grpc::Channel>& channel) {
  const auto client = contacts::ContactsService::NewStub(channel);
  grpc::ClientContext context;
  Bound(context, 5s);
  Fault(context, "status=429; retry-after=30");
  contacts::GetContactRequest request;
  request.set_id(kId);

  contacts::GetContactResponse answer;
  const auto error = client->GetContact(&context, request, &answer);
  Check("quota", error, grpc::StatusCode::RESOURCE_EXHAUSTED);
  std::cout << "quota: RESOURCE_EXHAUSTED, " << DetailOf<google::rpc::ErrorInfo>(error).reason() << ", call again in "
            << DetailOf<google::rpc::RetryInfo>(error).retry_delay().seconds() << " s" << std::endl;
}

// Reads which field the gateway refused.
void Argument(const std::shared_ptr<grpc::Channel>& channel) {
  const auto client = contacts::ContactsService::NewStub(channel);
  grpc::ClientContext context;
  Bound(context);
  contacts::UpdateContactRequest request;
  request.set_first_name("Ada");

  contacts::UpdateContactResponse answer;
  const auto error = client->UpdateContact(&context, request, &answer);
  Check("argument", error, grpc::StatusCode::INVALID_ARGUMENT);
  const auto refused = DetailOf<google::rpc::BadRequest>(error);
  if (refused.field_violations().empty()) throw std::runtime_error("argument: BadRequest names no field");
  const auto& violation = refused.field_violations(0);
  std::cout << "argument: " << violation.field() << ": " << violation.description() << std::endl;
}

// Removes a value: the field is in the mask, and unset.
void Null(const std::shared_ptr<grpc::Channel>& channel) {
  const auto client = contacts::ContactsService::NewStub(channel);
  grpc::ClientContext context;
  Bound(context);
  contacts::UpdateContactRequest request;
  request.set_id(kId);
  request.mutable_update_mask()->add_paths("phone");

  contacts::UpdateContactResponse answer;
  Check("null", client->UpdateContact(&context, request, &answer));
  // An empty phone would be there, too.
  std::cout << "null: contact " << answer.data().id() << " has " << (answer.data().has_phone() ? "a phone" : "no phone")
            << std::endl;
}

// Sends a free-form value, and reads it.
void Value(const std::shared_ptr<grpc::Channel>& channel) {
  const auto client = readings::ReadingsService::NewStub(channel);
  {
    grpc::ClientContext context;
    Bound(context);
    readings::CreateReadingsRequest request;
    auto& reading = *request.add_data();
    reading.set_entity_type("asset");
    reading.set_entity_id(kId);
    reading.set_reading_id("doors");
    reading.set_happened_at_time(Text(system_clock::now()));
    auto& members = *reading.mutable_value()->mutable_struct_value()->mutable_fields();
    members["open"].set_bool_value(true);
    auto& levels = *members["levels"].mutable_list_value();
    levels.add_values()->set_number_value(1);
    levels.add_values()->set_number_value(2.5);
    levels.add_values()->set_null_value(google::protobuf::NULL_VALUE);
    readings::CreateReadingsResponse answer;
    Check("value", client->CreateReadings(&context, request, &answer));
  }

  grpc::ClientContext context;
  Bound(context);
  readings::ListReadingsSnapshotRequest request;
  request.set_entity_type("asset");
  request.add_entity_ids(kId);
  request.add_reading_ids("doors");
  readings::ListReadingsSnapshotResponse answer;
  Check("value", client->ListReadingsSnapshot(&context, request, &answer));
  if (answer.data().empty()) throw std::runtime_error("value: there is no reading");
  const auto& members = answer.data(0).value().struct_value().fields();
  const auto open = members.find("open");
  const auto levels = members.find("levels");
  if (open == members.end() || levels == members.end()) {
    throw std::runtime_error("value: something else came back: " + answer.data(0).ShortDebugString());
  }
  std::cout << "value: open is " << open->second.bool_value() << ", levels has "
            << levels->second.list_value().values_size() << " values" << std::endl;
}

// Sends a whole number that a floating point number cannot hold, and reads it.
void Int64(const std::shared_ptr<grpc::Channel>& channel) {
  const auto client = addresses::AddressesService::NewStub(channel);
  grpc::ClientContext context;
  Bound(context);
  addresses::CreateAddressRequest request;
  request.set_name("Depot");
  request.set_formatted_address("1 Road");
  request.mutable_geofence()->mutable_circle()->set_radius_meters(9'007'199'254'740'993);

  addresses::CreateAddressResponse answer;
  Check("int64", client->CreateAddress(&context, request, &answer));
  std::cout << "int64: " << answer.data().geofence().circle().radius_meters() << std::endl;
}

// Reads how an answer differed from its message, from the trailer.
void Drift(const std::shared_ptr<grpc::Channel>& channel) {
  const auto client = vehicles::VehiclesService::NewStub(channel);
  grpc::ClientContext context;
  Bound(context);
  Fault(context, "drift");
  vehicles::GetVehicleRequest request;
  request.set_id(kId);

  vehicles::GetVehicleResponse answer;
  Check("drift", client->GetVehicle(&context, request, &answer));
  std::cout << "drift: " << ValueOf(context.GetServerTrailingMetadata(), "samsara-drift") << std::endl;
}

// Reads how many attempts the gateway made, from the header.
void Retries(const std::shared_ptr<grpc::Channel>& channel) {
  const auto client = contacts::ContactsService::NewStub(channel);
  grpc::ClientContext context;
  Bound(context);
  Fault(context, "status=503; first=2");
  contacts::GetContactRequest request;
  request.set_id(kId);

  contacts::GetContactResponse answer;
  Check("retries", client->GetContact(&context, request, &answer));
  std::cout << "retries: " << ValueOf(context.GetServerInitialMetadata(), "samsara-attempts") << " attempts"
            << std::endl;
}

// Waits no longer than its deadline.
void Deadline(const std::shared_ptr<grpc::Channel>& channel) {
  const auto client = contacts::ContactsService::NewStub(channel);
  grpc::ClientContext context;
  Bound(context, 300ms);
  Fault(context, "latency=5s");
  contacts::GetContactRequest request;
  request.set_id(kId);

  contacts::GetContactResponse answer;
  Check("deadline", client->GetContact(&context, request, &answer), grpc::StatusCode::DEADLINE_EXCEEDED);
  std::cout << "deadline: DEADLINE_EXCEEDED" << std::endl;
}

// Calls a gateway whose certificate was signed by our own authority.
void Tls() {
  std::ifstream file(Variable("GATEWAY_CA"));
  grpc::SslCredentialsOptions options;
  options.pem_root_certs.assign(std::istreambuf_iterator<char>(file), {});
  // gRPC would trust the authorities of the machine instead.
  if (options.pem_root_certs.empty()) throw std::runtime_error("GATEWAY_CA: there is no authority");
  const auto client = tags::TagsService::NewStub(Dial(Variable("GATEWAY_TLS"), grpc::SslCredentials(options)));
  grpc::ClientContext context;
  Bound(context);
  tags::ListTagsRequest request;
  request.set_limit(100);

  tags::ListTagsResponse answer;
  Check("tls", client->ListTags(&context, request, &answer));
  std::cout << "tls: " << answer.data_size() << " tags" << std::endl;
}

// Compresses what it sends. gRPC takes compressed answers by itself.
void Gzip(const std::shared_ptr<grpc::Channel>& channel) {
  const auto client = tags::TagsService::NewStub(channel);
  grpc::ClientContext context;
  Bound(context);
  context.set_compression_algorithm(GRPC_COMPRESS_GZIP);
  tags::ListTagsRequest request;
  request.set_limit(100);

  tags::ListTagsResponse answer;
  Check("gzip", client->ListTags(&context, request, &answer));
  std::cout << "gzip: " << answer.data_size() << " tags" << std::endl;
}

// Leaves a stream before its end. TryCancel ends it, and the gateway stops reading pages. To stop reading does not: the
// gateway goes on holding a page until the context goes, and Finish would wait for the end.
void Leave(const std::shared_ptr<grpc::Channel>& channel) {
  const auto client = tags::TagsService::NewStub(channel);
  grpc::ClientContext context;
  Bound(context);
  tags::StreamTagsRequest request;
  request.mutable_request()->set_limit(2);

  const auto reader = client->StreamTags(&context, request);
  tags::StreamTagsResponse message;
  if (!reader->Read(&message)) Fail("leave", reader->Finish());
  context.TryCancel();
  reader->Finish();  // CANCELLED, or OK if the end was on its way already.
  std::cout << "leave: left after 1 page" << std::endl;
}

void Run() {
  const auto channel = Dial(Variable("GATEWAY"), grpc::InsecureChannelCredentials());
  List(channel);
  Follow(Dial(Variable("GATEWAY_FEED"), grpc::InsecureChannelCredentials()));
  Restarts(Dial(Variable("GATEWAY_REPLICAS"), grpc::InsecureChannelCredentials(), kReplicas));
  Quota(channel);
  Argument(channel);
  Null(channel);
  Value(channel);
  Int64(channel);
  Drift(channel);
  Retries(channel);
  Deadline(channel);
  Tls();
  Gzip(channel);
  Leave(channel);
}

}  // namespace

int main() {
  std::cout << std::boolalpha;
  try {
    Run();
  } catch (const std::exception& error) {
    std::cerr << error.what() << std::endl;
    return EXIT_FAILURE;
  }
}
